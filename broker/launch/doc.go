// Package launch gives users sessions: it claims staged sessions, has their fates decided
// in Consul, runs the assign hook in each, and falls back to other zones and to sessions
// made on demand. A launch is for N sessions; one is N = 1, on the same path.
//
// It promises:
//
//   - Order. A launch tries staged sessions of the zone, then of its alternate zones, then
//     sessions made on demand in the zone, then in the alternate zones. Every step that did
//     not serve says why (the attempts). Several sessions come from staged ones alone.
//   - One user per session. The fate record exists before the first byte of an assign hook
//     is sent, and is finished before the launch is answered. Only the compare-and-set in Consul
//     decides; Redis is trusted only about which sessions to try.
//   - Redis is not needed. While it does not answer, or is not trusted, sessions come from
//     Consul's passing instances less those with a fate, and every ready one is reachable.
//   - All or none. Several sessions are claimed, decided and finished in one step each.
//   - Nothing warm is wasted. Claimed sessions of which it is known that no fate was written
//     are unused, and go back to their pools.
//   - No setting is left out. A launch with a setting that a staged session cannot honour is
//     served on demand with it.
//   - Once a claim has begun, a caller that hangs up does not stop the launch: its own
//     deadlines bound it. When the outcome of a hook, or of a write to Consul, cannot be
//     known, the session is destroyed, not reused.
//   - Bounds. What a broker does at once is bounded; past a bound a launch is refused before
//     it claims anything.
package launch
