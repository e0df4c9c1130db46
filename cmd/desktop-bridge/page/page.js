// The page of the desktop: noVNC over the whole window.
import RFB from './novnc/core/rfb.js'

const state = document.getElementById('state')
const [text, again] = state.children
const socket = new URL('socket', location.href)
socket.protocol = socket.protocol.replace('http', 'ws')

// A desktop that goes away for a moment, as with a laptop's lid, comes back by itself.
const pauses = [500, 1000, 2000, 4000, 8000]
let tried = 0
let rfb

function connect() {
  again.hidden = true
  rfb = new RFB(document.getElementById('screen'), socket.href, { shared: true })
  rfb.resizeSession = true
  rfb.scaleViewport = true // until the desktop has the window's size
  rfb.background = '#0e241e'
  rfb.addEventListener('connect', () => {
    tried = 0
    state.hidden = true
    rfb.focus()
  })
  rfb.addEventListener('desktopname', e => { document.title = e.detail.name })
  rfb.addEventListener('clipboard', e => { navigator.clipboard?.writeText(e.detail.text).catch(() => {}) })
  rfb.addEventListener('disconnect', lost)
}

function lost() {
  rfb = undefined
  state.hidden = false
  if (tried < pauses.length) {
    text.textContent = 'Connecting…'
    setTimeout(connect, pauses[tried++])
    return
  }
  text.textContent = 'This desktop does not answer.'
  again.hidden = false
}

again.addEventListener('click', () => {
  tried = 0
  text.textContent = 'Connecting…'
  connect()
})

// What was copied outside is there to be pasted inside. A browser that does not let a page read
// its clipboard leaves the desktop's as it is.
window.addEventListener('focus', () => {
  navigator.clipboard?.readText?.().then(copied => { if (copied) rfb?.clipboardPasteFrom(copied) }).catch(() => {})
})

connect()
