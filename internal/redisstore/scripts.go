package redisstore

import (
	"embed"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua
var sources embed.FS

func script(name string) *redis.Script {
	src, err := sources.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic("redisstore: " + err.Error())
	}
	return redis.NewScript(string(src))
}

// One script per transition; each file's header gives its keys, arguments and outcomes.
var (
	recordScript   = script("record")
	publishScript  = script("publish")
	withdrawScript = script("withdraw")
	claimScript    = script("claim")
	beginScript    = script("begin")
	assignScript   = script("assign")
	retireScript   = script("retire")
	finishScript   = script("finish")
	endedScript    = script("ended")
	restoreScript  = script("restore")
	releaseScript  = script("release")
)
