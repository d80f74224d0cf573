// Package frameworks shows package verify behind three routers. The main module
// depends on none of them: what they need is a net/http middleware, or its two
// halves.
package frameworks

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"

	"github.com/bitjang/bitjang/verify"
)

// Chi takes the middleware as it is.
func Chi(v *verify.Verifier) http.Handler {
	r := chi.NewRouter()
	r.Use(v.Middleware)
	r.With(v.RequireScope("orders:read")).Get("/orders", func(w http.ResponseWriter, r *http.Request) {
		claims, _ := verify.FromContext(r.Context())
		_, _ = w.Write([]byte(claims.Subject))
	})
	return r
}

// GinAuth is the middleware for gin: handlers find the claims with
// verify.FromContext(c.Request.Context()), as everywhere.
func GinAuth(v *verify.Verifier) gin.HandlerFunc {
	return func(c *gin.Context) {
		claims, err := v.VerifyRequest(c.Request)
		if err != nil {
			v.Refuse(c.Writer, err)
			c.Abort()
			return
		}
		c.Request = c.Request.WithContext(verify.NewContext(c.Request.Context(), claims))
		c.Next()
	}
}

// Gin is an application with it.
func Gin(v *verify.Verifier) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(GinAuth(v))
	r.GET("/orders", func(c *gin.Context) {
		claims, _ := verify.FromContext(c.Request.Context())
		if !claims.HasScope("orders:read") {
			c.AbortWithStatus(http.StatusForbidden)
			return
		}
		c.String(http.StatusOK, claims.Subject)
	})
	return r
}

// EchoAuth is the middleware for echo. It takes net/http ones through
// echo.WrapMiddleware as well.
func EchoAuth(v *verify.Verifier) echo.MiddlewareFunc {
	return echo.WrapMiddleware(v.Middleware)
}

// Echo is an application with it.
func Echo(v *verify.Verifier) http.Handler {
	e := echo.New()
	e.Use(EchoAuth(v))
	e.GET("/orders", func(c echo.Context) error {
		claims, _ := verify.FromContext(c.Request().Context())
		if !claims.HasScope("orders:read") {
			return echo.ErrForbidden
		}
		return c.String(http.StatusOK, claims.Subject)
	})
	return e
}
