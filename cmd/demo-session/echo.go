package main

import (
	"log"
	"net/http"

	"github.com/gorilla/websocket"
)

// maxEcho bounds a message of the WebSocket.
const maxEcho = 1 << 20

// echo is a WebSocket that repeats what it is sent, as proof that one gets through whatever is in
// front of the session. It takes only pages of its own host.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		log.Print("echo: ", err) // the upgrader has answered
		return
	}
	defer conn.Close()
	conn.SetReadLimit(maxEcho)
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
	}
}
