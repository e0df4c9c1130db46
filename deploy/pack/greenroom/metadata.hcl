app {
  url    = "https://github.com/greenroom/greenroom"
  author = "The greenroom authors"
}

pack {
  name        = "greenroom"
  description = "Keeps sessions (desktops, browsers, notebooks, game servers) warm on a Nomad cluster, and hands one to a user in milliseconds."
  url         = "https://github.com/greenroom/greenroom/tree/main/deploy/pack/greenroom"
  version     = "0.1.0"
}
