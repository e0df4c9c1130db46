greenroom's brokers listen on port [[ var "broker_port" . ]] of their nodes, its scalers on [[ var "scaler_port" . ]].
[[- if or (var "gateway_url" .) (var "gateway_domain" .) ]]
Its gateways listen on port [[ var "gateway_port" . ]].
[[- else ]]
No gateway runs, because neither gateway_url nor gateway_domain is set.
[[- end ]]

Check that they are ready:

    nomad job status -namespace [[ var "namespace" . ]] greenroom-broker
    curl -fsS http://NODE:[[ var "broker_port" . ]]/v1/health/ready
