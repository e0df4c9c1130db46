package devcluster_test

import (
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

func TestStart(t *testing.T) {
	c := devtest.Cluster(t, devcluster.Options{Datacenters: []string{"dc1", "dc2"}, Docker: true})
	t.Log(c.NomadAddr, c.ConsulAddr, c.RedisAddr)
}
