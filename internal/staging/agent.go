package staging

// Agent is a broker, a gateway or a scaler of the installation that is alive.
type Agent struct {
	// Kind is AgentBroker, AgentGateway or AgentScaler.
	Kind string
	// Address is where it listens.
	Address string
	// Version is the greenroom that it is; "" for one that does not say it yet.
	Version string
}

// The kinds of agents that Consul shows.
const (
	AgentBroker  = "broker"
	AgentGateway = "gateway"
	AgentScaler  = "scaler"
)
