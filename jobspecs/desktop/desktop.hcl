# The desktop as an image of greenroom, and two of it kept ready in zone east.

image "desktop" {
  jobspec   = file("desktop.nomad.hcl")
  variables = { image = "greenroom/desktop:local" }

  exec_config {
    # Writes the user's name on the desktop, and opens the URL of the launch.
    assign {
      cmd = ["desktop-assign"]
    }
    # Opens another URL, in a new tab.
    go {
      cmd = ["browse", "{url}"]
    }
  }
}

staging "desktop-east" {
  zone             = "east"
  image            = "desktop"
  desired_sessions = 2
}
