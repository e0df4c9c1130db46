package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/greenroom/greenroom/broker/httpapi/contracttest"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
)

// reply is an answer of the API.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request to the API; body is JSON text, or "" for none. An answer that breaks
// openapi.yaml is an error.
func (d *devProcess) call(method, path, body string, headers ...string) (reply, error) {
	r, err := d.api().Call(method, path, body, headers...)
	return reply{r.Status, r.Header, r.Body}, err
}

// ask is call for an answer that must have a status. It decodes the body into into unless
// that is nil.
func (d *devProcess) ask(t *testing.T, method, path string, body any, status int, into any, headers ...string) reply {
	t.Helper()
	r := d.api().Ask(t, method, path, body, status, into, headers...)
	return reply{r.Status, r.Header, r.Body}
}

func (d *devProcess) api() agenttest.API { return agenttest.API{URL: d.Broker, Check: heldToContract} }

// held is the API's contract, which every answer in every test is checked against.
var held struct {
	once     sync.Once
	contract *contracttest.Contract
	err      error
}

func heldToContract(req *http.Request, res *http.Response, body []byte) error {
	held.once.Do(func() {
		var raw []byte
		if raw, held.err = os.ReadFile("../../../../broker/httpapi/openapi.yaml"); held.err == nil {
			held.contract, held.err = contracttest.New(raw)
		}
	})
	if held.err != nil {
		return held.err
	}
	return held.contract.Check(req, res.StatusCode, res.Header, body)
}

// jsonText returns a value as JSON text.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
