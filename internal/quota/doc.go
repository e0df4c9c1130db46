// Package quota keeps the limits of sessions: max_sessions of images, zones and staging
// configs, and, while Redis is away, those of users.
//
// A limit holds although many brokers and scalers make sessions at once, because whoever wants
// to make one reserves a place first, in one record in Consul that all of them change by
// compare-and-set. The order of the steps is what makes it exact:
//
//  1. read the record
//  2. count the sessions that exist, in Nomad and by their fates in Consul
//  3. refuse, or write the record with the place added, unless it has changed since 1
//  4. make the session
//  5. give the place back
//
// A session that was made before 2 is counted there. One that is made later has its place in
// the record at 1, or the record changes after it. So nothing is counted too little, and no
// clock takes part. A place whose holder died is dropped after a while, since its holder makes
// the session soon or not at all.
package quota
