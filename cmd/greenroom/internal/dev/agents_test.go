package dev

import (
	"bytes"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster"
)

// TestTheUsualPortOrAFreeOne: the broker is at its usual port where that is free; where not, what
// is printed has the line that commands need, and only then.
func TestTheUsualPortOrAFreeOne(t *testing.T) {
	first, err := listenAt("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	usual := first.Addr().String()
	second, err := listenAt(usual)
	if err != nil {
		t.Fatal(err)
	}
	if second.Addr().String() == usual {
		t.Errorf("two listen on %s", usual)
	}
	second.Close()
	first.Close()
	third, err := listenAt(usual)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if third.Addr().String() != usual {
		t.Errorf("%s is free, and it listens on %s", usual, third.Addr())
	}
	for _, usual := range []bool{true, false} {
		var out bytes.Buffer
		d := dev{out: &out, broker: "http://127.0.0.1:1234", usual: usual, cluster: &devcluster.Cluster{ConsulAddr: "http://127.0.0.1:2", RedisAddr: "127.0.0.1:3"}}
		d.printTable()
		if !strings.Contains(out.String(), "\n  export CONSUL_HTTP_ADDR=http://127.0.0.1:2 GREENROOM_REDIS_ADDR=127.0.0.1:3\n  greenroom doctor\n") {
			t.Errorf("it prints\n%s", out.String())
		}
		if said := strings.Contains(out.String(), "\n  export GREENROOM_ADDR=http://127.0.0.1:1234\n"); said == usual {
			t.Errorf("at its usual port: %t, and it prints\n%s", usual, out.String())
		}
	}
}
