# A session behind Traefik, in place of greenroom's gateways: Traefik finds it in Consul, with the
# route that its tags describe, and checks every request with a broker. Use this service block in your
# own jobspecs. Traefik runs with its provider consulCatalog (exposedByDefault = false) and has an
# entry point; a request's cookie greenroom_token, or ?token= of the launch's connect_url, is the
# session's token: https://desk.example.org/s/{session_id}/?token={token}
#
# Traefik has nothing that takes one cookie or a query's token away: the session's program gets its own
# session's token, and an access log has it, unless accessLog.fields.names.RequestPath = "drop". Where
# that matters, use a gateway, or nginx or Caddy as their examples show.

job "app" {
  type = "batch"

  group "session" {
    network {
      port "http" {
        to = 8080
      }
    }

    service {
      name     = "app"
      provider = "consul"
      port     = "http"

      # The job's id is the session's.
      tags = [
        "traefik.enable=true",
        "traefik.http.routers.${NOMAD_JOB_ID}.rule=PathPrefix(`/s/${NOMAD_JOB_ID}/`)",
        "traefik.http.routers.${NOMAD_JOB_ID}.service=${NOMAD_JOB_ID}",
        "traefik.http.routers.${NOMAD_JOB_ID}.middlewares=${NOMAD_JOB_ID}-check,${NOMAD_JOB_ID}-path",
        # The brokers, by their service in Consul's DNS:
        "traefik.http.middlewares.${NOMAD_JOB_ID}-check.forwardauth.address=http://greenroom-broker.service.consul:7480/v1/sessions/${NOMAD_JOB_ID}/authorize",
        "traefik.http.middlewares.${NOMAD_JOB_ID}-check.forwardauth.authResponseHeaders=X-Greenroom-Session-Id,X-Greenroom-User-Id,X-Greenroom-User-Name",
        "traefik.http.middlewares.${NOMAD_JOB_ID}-path.stripprefix.prefixes=/s/${NOMAD_JOB_ID}",
        "traefik.http.services.${NOMAD_JOB_ID}.loadbalancer.passhostheader=true",
      ]

      check {
        type     = "http"
        path     = "/health"
        interval = "1s"
        timeout  = "1s"
      }
    }

    task "session" {
      driver = "docker"

      config {
        image = "registry.example.org/app:1"
        ports = ["http"]
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
