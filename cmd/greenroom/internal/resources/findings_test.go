package resources

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryFindingAtOnceWithBlockAndArgument: what cannot be decoded hides nothing else, and is
// found once. Bounds that only the broker knows are not made up.
func TestEveryFindingAtOnceWithBlockAndArgument(t *testing.T) {
	_, err := loadResources([]string{standardInput}, strings.NewReader(`
zone "east" {
  datacenters = 1
  nodepool    = "x"
}
image "a" {
  jobspec            = file("/no/such/file")
  session_time_limit = "1ms"
  variables          = { a = [1] }
  exec_config {
    assign {
      timeout = "tomorrow"
      env     = 3
    }
  }
  volume_mapping {
    source = null
    target = "data"
  }
  volume_mapping {
    source = "data"
    target = "/data"
  }
}
group "g" {
  priority   = "high"
  run_config = undefined
}
staging "s" {
  image            = "a"
  desired_sessions = -1
  expiration       = "2m3"
  schedule {
    cron             = "0 0 * * *"
    duration         = ""
    desired_sessions = 3000000000
  }
  schedule {
    cron             = "x"
    duration         = "100ms"
    desired_sessions = 3.5
  }
}
`))
	var refused *FilesError
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	want := `nothing was changed, these files are not valid:
  -:3: zone "east": datacenters cannot be used: list of string required, but have number
  -:4: zone "east": nodepool is no argument here. Did you mean "node_pool"?
  -:7: image "a": jobspec is not valid: Invalid function argument: Invalid value for "path" parameter: open /no/such/file: no such file or directory.
  -:8: image "a": session_time_limit must be at least 1s, or absent, is 1ms
  -:9: image "a": variables cannot be used: element "a": string required, but have tuple
  -:11: image "a": exec_config.assign.cmd must be given
  -:12: image "a": exec_config.assign.timeout must be a duration such as 90s, 30m or 24h, is "tomorrow"
  -:13: image "a": exec_config.assign.env is no argument here.
  -:17: image "a": volume_mapping[0].source cannot be used: null value is not allowed
  -:18: image "a": volume_mappings[0].target must be an absolute path in the session, other than / and without colon and braces, is "data"
  -:21: image "a": volume_mappings[1].source must be an absolute path on the node, without colon and .., is "data"
  -:26: group "g": priority cannot be used: a number is required
  -:27: group "g": run_config is not valid: Variables not allowed: Variables may not be used here.
  -:29: staging "s": zone must be given
  -:31: staging "s": desired_sessions must be at least 0, is -1
  -:32: staging "s": expiration must be a duration such as 90s, 30m or 24h, is "2m3"
  -:35: staging "s": schedule[0].duration must be given, between 1m and 744h
  -:39: staging "s": schedule[1].cron must be minute, hour, day of month, month and day of week, such as "0 13 * * MON-FRI", is "x"
  -:40: staging "s": schedule[1].duration must be between 1m and 744h, is 100ms
  -:41: staging "s": schedule[1].desired_sessions must be a whole number`
	if diff := cmp.Diff(want, refused.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
