// Package web is the users' page and the operators' page: files that the broker serves below /ui/,
// and the documents at / and /ui/. They call nothing but the documented API, as the user who is
// logged in.
//
// It promises that the pages work without any other server: they fetch only the files
// embedded here and the broker's API, and the policy that they are served with makes the
// browser refuse everything else, also inline scripts and styles. Nothing is built or
// generated: the browser runs the files in assets as they are. Text from the API is put
// into a page as text, never as markup, which the policy enforces as well.
//
// The users' page has a link for each image, /launch/IMAGE, that other sites may hold. To serve it
// changes nothing: the page's own script launches, once the page is looked at, by a call that no
// other site can make. It gives a user one session of the image, however often the link is
// followed. Files whose names begin with home are the users' page's; the others are shared, or the
// operators'.
package web
