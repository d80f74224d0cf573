package server

import "github.com/bitjang/bitjang/internal/pages"

// Route is a line of the routes, for tests.
type Route struct{ Pattern, Audience string }

// Routes lists the whole HTTP surface.
func Routes() []Route {
	names := map[audience]string{public: "public", apiUse: "api", proxy: "proxy", page: "page", front: "front", stream: "stream", client: "client"}
	var list []Route
	for _, rt := range routes(nil, nil, &pages.Pages{Options: pages.Options{Mailbox: &Mailbox{}}}) {
		list = append(list, Route{rt.pattern, names[rt.audience]})
	}
	return list
}
