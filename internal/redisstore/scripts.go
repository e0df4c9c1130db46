package redisstore

import (
	"embed"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua
var sources embed.FS

// script joins scripts/prelude.lua and the named files, in order, into one script.
func script(names ...string) *redis.Script {
	var text strings.Builder
	for _, name := range append([]string{"prelude"}, names...) {
		src, err := sources.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			panic("redisstore: " + err.Error())
		}
		text.Write(src)
	}
	return redis.NewScript(text.String())
}

// One script per transition. The header of each file lists its keys, arguments and outcomes.
var (
	recordScript          = script("record")
	publishScript         = script("count", "rank", "publish")
	withdrawScript        = script("withdraw")
	reorderScript         = script("rank", "reorder")
	claimOneScript        = script("trust", "each", "launch", "count", "rank", "claim_one")
	claimSeveralScript    = script("trust", "launch", "count", "rank", "claim_several")
	unclaimScript         = script("rank", "unclaim")
	armScript             = script("arm")
	placeMarkerScript     = script("server", "place_marker")
	renewTrustScript      = script("server", "renew_trust")
	trustedScript         = script("trust", "server", "trusted")
	nowScript             = script("now")
	beginScript           = script("launch", "begin")
	adoptScript           = script("launch", "adopt")
	bindScript            = script("bind")
	renewKeyScript        = script("renew_key")
	detachKeyScript       = script("detach_key")
	rebindScript          = script("rebind")
	releaseScript         = script("release")
	assignScript          = script("each", "count", "assign")
	keepaliveScript       = script("used", "keepalive")
	expireKeepaliveScript = script("received", "finished", "expire_keepalive")
	expireIdleScript      = script("received", "finished", "expire_idle")
	expireUnvisitedScript = script("received", "finished", "expire_unvisited")
	expireLimitScript     = script("finished", "expire_limit")
	warnEndScript         = script("warn_end")
	extendScript          = script("used", "extend")
	receivingScript       = script("receiving")
	quarantineScript      = script("quarantine")
	retireScript          = script("retire")
	finishScript          = script("finished", "finish")
	endedScript           = script("ended")
	restoreScript         = script("restore")
	restartedScript       = script("restarted")
	reassignedScript      = script("reassigned")
	noteHealthScript      = script("note_health")
	noteRoomScript        = script("note_room")
	reportScript          = script("report")
	historyScript         = script("history")
	oldestScript          = script("oldest")
	noteScript            = script("note")
	webhookOpenScript     = script("webhook_open")
	webhookTakeScript     = script("webhook_take")
	webhookBuryScript     = script("webhook_bury")
	webhookReplayScript   = script("webhook_replay")
	webhookTrimScript     = script("webhook_trim")
)
