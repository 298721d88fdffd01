package main

import (
	"cmp"

	"github.com/orchard9/rdev/auth"
	"github.com/orchard9/rdev/server"
)

// limitCallers sets what keys and addresses are held to.
func limitCallers(web *server.Config, c Config, store auth.LimitStore) {
	web.Requests = auth.PerMinute(int(c.RequestsPerMinute))
	if web.Requests.Limits() {
		web.Requests.Burst = int(cmp.Or(c.RequestBurst, c.RequestsPerMinute))
	}
	web.FailedLogins = auth.PerMinute(int(c.FailedLoginsPerMinute))
	web.StreamsPerKey = int(c.StreamsPerKey)
	web.LimitStore = store
}
