package staging

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestTheLowestPriorityNumberWins(t *testing.T) {
	yes, no, two, nine := true, false, 2, 9
	s := Resolve([]Group{
		{
			Name: "late", Priority: 20, MaxSessionsPerUser: &nine, InjectSSHKeys: &yes, WebFilterPolicy: "lax", SessionTimeLimit: Duration(time.Hour), UnhealthyExpiration: Duration(time.Hour),
			Permissions:   Permissions{AllowAudio: true, AllowWebcam: true},
			VolumeMapping: []VolumeMapping{{Source: "/late", Target: "/a"}, {Source: "/late", Target: "/b"}},
		},
		{Name: "b", Priority: 10, RunConfig: map[string]any{"hostname": "b"}},
		{
			Name: "a", Priority: 10, MaxSessionsPerUser: &two, InjectSSHKeys: &no, RunConfig: map[string]any{"hostname": "a"},
			Permissions: Permissions{AllowAudio: false}, KeepaliveExpiration: Duration(time.Minute),
			VolumeMapping: []VolumeMapping{{Source: "/early", Target: "/a/"}},
		},
	})
	if s.MaxSessionsPerUser != 2 || s.InjectSSHKeys || s.WebFilterPolicy != "lax" || s.RunConfig["hostname"] != "a" ||
		s.Permissions.Allows(AllowAudio) || !s.Permissions.Allows(AllowWebcam) || s.Terms != (Terms{Keepalive: Duration(time.Minute), TimeLimit: Duration(time.Hour), Unhealthy: Duration(time.Hour)}) {
		t.Errorf("%+v", s)
	}
	want := []VolumeMapping{{Source: "/early", Target: "/a/"}, {Source: "/late", Target: "/b"}}
	if diff := gocmp.Diff(want, s.VolumeMapping); diff != "" {
		t.Errorf("volume mappings combine (-want +got):\n%s", diff)
	}
	if got := s.TermsFor(Image{SessionTimeLimit: Duration(time.Minute)}); got.TimeLimit != Duration(time.Minute) {
		t.Errorf("of two time limits the shorter holds, not %v", got)
	}
	if got := s.TermsFor(Image{UnhealthyExpiration: Duration(time.Minute)}); got.Unhealthy != Duration(time.Hour) {
		t.Errorf("a group's unhealthy_expiration goes before the image's, not %v", got)
	}
	for _, g := range []Group{{}, {IdleExpiration: Duration(time.Hour)}, {UnvisitedExpiration: Duration(time.Hour)}} {
		got := Resolve([]Group{g}).TermsFor(Image{IdleExpiration: Duration(time.Minute), UnvisitedExpiration: Duration(time.Minute)})
		if got.Idle != cmp.Or(g.IdleExpiration, Duration(time.Minute)) || got.Unvisited != cmp.Or(g.UnvisitedExpiration, Duration(time.Minute)) {
			t.Errorf("a group's terms of unused sessions go before the image's, not %+v for %+v", got, g)
		}
	}
	if got := (Settings{}).TermsFor(Image{UnhealthyExpiration: Duration(time.Minute)}); got.Unhealthy != Duration(time.Minute) {
		t.Errorf("without a group's the image's unhealthy_expiration holds, not %v", got)
	}
	var where []string
	for _, v := range Violations(Image{Name: "i"}, s) {
		where = append(where, v.String())
	}
	if diff := gocmp.Diff([]string{`run_config of group "a"`, `volume_mapping of group "a"`, `web_filter_policy of group "late"`}, where); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	pool := Config{Name: "p", Permissions: Permissions{AllowWebcam: true}}
	if got := PoolViolations(pool, s); len(got) != 1 || got[0].Setting != "allow_audio" || !strings.Contains(got[0].Where, `group "a"`) {
		t.Errorf("%+v", got)
	}
}

func TestTokensAreReplacedOnceAndNothingElseIs(t *testing.T) {
	values := map[Token]string{TokenUsername: "{user_id} $x", TokenUserID: "u"}
	for text, want := range map[string]string{
		"{username}":              "{user_id} $x",
		"a{user_id}b{user_id}":    "aubu",
		"${username} {{user_id}}": "${username} {user_id}",
		"{} {Username} {a,b}":     "{} {Username} {a,b}",
		"{url}":                   "{url}",
	} {
		if got := Substitute(text, values); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestWhatCannotBeHonouredIsRefusedWhenItIsStored(t *testing.T) {
	image := func(change func(*Image)) Image {
		i := Image{Name: "i", Jobspec: "job"}
		change(&i)
		return i
	}
	cases := map[string]struct {
		err  error
		want []string
	}{
		"an unknown token": {
			image(func(i *Image) {
				i.ExecConfig.Assign = &Hook{Cmd: []string{"x", "{usrname}"}, Environment: map[string]string{"K": "{nope}"}}
			}).Validate(), []string{"exec_config.assign.cmd[1]", "exec_config.assign.environment.K"},
		},
		"a user's token before there is a user": {
			image(func(i *Image) { i.ExecConfig.FirstLaunch = &Hook{Cmd: []string{"x", "{username}", "{session_id}"}} }).Validate(),
			[]string{"exec_config.first_launch.cmd[1]"},
		},
		"a token in a shell's text": {
			image(func(i *Image) { i.ExecConfig.Go = &Hook{Cmd: []string{"/bin/bash", "-lc", "open {url}"}} }).Validate(),
			[]string{"exec_config.go.cmd[2]"},
		},
		"a token in what some shell runs, however it is written": {
			func() error {
				var all []FieldError
				for _, cmd := range [][]string{
					{"/bin/sh", "-cx", "echo {username}"},
					{"sh", "-c", "--", "{username}"},
					{"sh", "-c", "-x", "{username}"},
					{"su", "-c", "{username}", "root"},
					{"env", "-S", "sh -c '{username}'"},
					{"python3.11", "-c", "{username}"},
					{"busybox", "ash", "-c", "{username}"},
					{"{username}"},
					{"bash", "{url}"},
					{"awk", "{username}"},
					{"perl", "-ne", "{username}"},
					{"sh", "-c{username}"},
				} {
					var invalid *InvalidError
					if !errors.As(image(func(i *Image) { i.ExecConfig.Go = &Hook{Cmd: cmd} }).Validate(), &invalid) {
						all = append(all, FieldError{Field: strings.Join(cmd, " "), Message: "passed"})
					}
				}
				if all == nil {
					return nil
				}
				return &InvalidError{Fields: all}
			}(), nil,
		},
		"a token beside a shell's text": {
			image(func(i *Image) { i.ExecConfig.Go = &Hook{Cmd: []string{"sh", "-c", `open "$1"`, "open", "{url}"}} }).Validate(), nil,
		},
		"a user that is none": {
			image(func(i *Image) { i.ExecConfig.Assign = &Hook{Cmd: []string{"x"}, User: "-c"} }).Validate(), []string{"exec_config.assign.user"},
		},
		"volumes": {
			image(func(i *Image) {
				i.VolumeMappings = []VolumeMapping{
					{Source: "srv", Target: "/a"}, {Source: "/srv/{zone}", Target: "/a/"}, {Source: "/srv/../etc", Target: "b"}, {Source: "/srv/{username}", Target: "/c"},
				}
			}).Validate(), []string{"volume_mappings[0].source", "volume_mappings[1].source", "volume_mappings[1].target", "volume_mappings[2].source", "volume_mappings[2].target", "volume_mappings[3].source"},
		},
		"connect_url": {
			image(func(i *Image) { i.ConnectURL = "{address}/{secret}" }).Validate(), []string{"connect_url", "connect_url"},
		},
		"a group": {
			Group{Name: "g", Permissions: Permissions{"allow_everything": true}, KeepaliveExpiration: 1, IdleExpiration: MinIdleTerm - 1, UnvisitedExpiration: 1, MaxSessionsPerUser: new(int)}.Validate(),
			[]string{"permissions.allow_everything", "max_sessions_per_user", "keepalive_expiration", "idle_expiration", "unvisited_expiration"},
		},
		"a zone": {
			Zone{Name: "z", Datacenters: []string{"d"}, AlternateZones: []string{"z", "a", "a"}, AllowOriginDomain: "${host}"}.Validate(),
			[]string{"alternate_zones[0]", "alternate_zones[2]", "alternate_zones", "allow_origin_domain"},
		},
		"a staging config": {
			Config{
				Name: "c", Zone: "z", Image: "i", Permissions: Permissions{"x": true}, MaxUnavailable: "0",
				Update: "never", KeepFailed: 21,
				Schedule: []Schedule{{Cron: "61 * * * *", TimeZone: "Mars/Olympus", DesiredSessions: -1}, {Cron: "TZ=UTC 0 1 * * *", Duration: Duration(time.Hour)}},
			}.Validate(DefaultLimits),
			[]string{
				"permissions.x", "max_unavailable", "keep_failed", "update", "schedule[0].cron", "schedule[0].time_zone", "schedule[0].duration",
				"schedule[0].desired_sessions", "schedule[1].cron",
			},
		},
		"a launch": {
			Launch{
				Image: "i", Zone: "z", User: User{ID: "u"}, Groups: []string{"A B"}, UserEnvironment: map[string]string{"NOMAD_X": ""},
				SSHKeys: []string{"ssh-ed25519 AAAA {{ key }}", "command=\"x\" ssh-rsa AAAA", "ssh-rsa AAAA me@home"},
			}.Validate(), []string{"user_environment.NOMAD_X", "groups[0]", "ssh_keys[0]", "ssh_keys[1]"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			var invalid *InvalidError
			if errors.As(c.err, &invalid) {
				for _, f := range invalid.Fields {
					got = append(got, f.Field)
				}
			}
			if diff := gocmp.Diff(c.want, got); diff != "" {
				t.Errorf("%v (-want +got):\n%s", c.err, diff)
			}
		})
	}
}

func TestOriginsWithinADomain(t *testing.T) {
	for _, c := range []struct {
		domain, origin, host string
		want                 bool
	}{
		{"example.org", "https://example.org", "", true},
		{"example.org", "https://app.example.org:8443", "", true},
		{"example.org", "https://EXAMPLE.org", "", true},
		{"*.example.org", "https://a.example.org", "", true},
		{"https://example.org:443", "https://example.org", "", true},
		{"127.0.0.1", "//127.0.0.1", "", false},
		{"127.0.0.1", "javascript://127.0.0.1", "", false},
		{"127.0.0.1", "http://evil.net:80@127.0.0.1", "", false},
		{"example.org", "https://evilexample.org", "", false},
		{"example.org", "https://example.org.evil.net", "", false},
		{"example.org", "null", "", false},
		{"example.org", "", "", false},
		{"", "https://greenroom.test", "greenroom.test", true},
		{"$request_host$", "https://other.test", "greenroom.test", false},
		{"$request_host$", "https://x.test", "", false},
		{"127.0.0.1", "http://127.0.0.1:8080", "", true},
	} {
		if got := (Zone{AllowOriginDomain: c.domain}).AllowsOrigin(c.origin, c.host); got != c.want {
			t.Errorf("domain %q, origin %q, host %q: %v", c.domain, c.origin, c.host, got)
		}
	}
}

func TestAConnectURLEscapesWhatItIsGiven(t *testing.T) {
	i := Image{ConnectURL: "http://{address}:{port_http}/{username}?token={token}"}
	s := Session{Address: "::1", Ports: map[string]int{"http": 80}, User: &User{ID: "u", Name: "a/b c"}}
	if got, want := i.ConnectTo(s, "t+/"), "http://[::1]:80/a%2Fb%20c?token=t%2B%2F"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := i.ConnectTo(Session{Address: "h"}, "t"); got != "" {
		t.Errorf("without its port: %q", got)
	}
}

func TestAnAccessTokenIsOneSessionsAndOneClaims(t *testing.T) {
	secret := []byte("s")
	token := AccessToken(secret, "gr-1", "c")
	if !ValidAccessToken([][]byte{[]byte("retired"), secret}, "gr-1", "c", token) || ValidAccessToken([][]byte{[]byte("retired"), secret}, "gr-2", "c", token) ||
		ValidAccessToken([][]byte{[]byte("retired"), secret}, "gr-1", "d", token) || ValidAccessToken([][]byte{[]byte("t")}, "gr-1", "c", token) ||
		ValidAccessToken([][]byte{[]byte("retired"), secret}, "gr-1", "", AccessToken(secret, "gr-1", "")) {
		t.Error("the token opens more, or less, than its session")
	}
}

func TestAPoolFilledAtOnceDoesNotExpireAtOnce(t *testing.T) {
	c := Config{Expiration: Duration(10 * time.Hour)}
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var all []time.Time
	for range 200 {
		id := NewSessionID()
		at := c.ExpiresAt(id, created)
		if at != c.ExpiresAt(id, created) || at.After(created.Add(10*time.Hour)) || at.Before(created.Add(9*time.Hour)) {
			t.Fatalf("%s expires at %s", id, at)
		}
		all = append(all, at)
	}
	slices.SortFunc(all, time.Time.Compare)
	if spread := all[len(all)-1].Sub(all[0]); spread < 45*time.Minute {
		t.Errorf("200 sessions expire within %s", spread)
	}
}

func TestMaxUnavailable(t *testing.T) {
	for text, want := range map[string]int{"": 2, "25%": 2, "50%": 4, "3": 3, "1%": 1, "100%": 8} {
		if got := (Config{MaxUnavailable: text}).Unavailable(8); got != want {
			t.Errorf("%q of 8: %d, want %d", text, got, want)
		}
	}
}
