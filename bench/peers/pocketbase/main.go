// PocketBase, for the benchmark: `serve` with one user, ann@example.com.
package main

import (
	"log"
	"os"

	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/core"
)

func main() {
	app := pocketbase.NewWithConfig(pocketbase.Config{DefaultDataDir: os.Getenv("DATA_DIR"), HideStartBanner: true})
	app.OnServe().BindFunc(func(e *core.ServeEvent) error {
		users, err := app.FindCollectionByNameOrId("users")
		if err != nil {
			return err
		}
		ann := core.NewRecord(users)
		ann.SetEmail("ann@example.com")
		ann.SetPassword("seven grey geese")
		if err := app.Save(ann); err != nil {
			return err
		}
		return e.Next()
	})
	if err := app.Start(); err != nil {
		log.Fatal(err)
	}
}
