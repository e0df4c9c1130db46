package output

import (
	"encoding/json"
	"fmt"
	"io"

	"go.yaml.in/yaml/v4"
)

// yamlDocument writes a document as YAML, with the names that it has in JSON and in their
// order. A text of several lines is written as a block.
func yamlDocument(w io.Writer, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	// JSON is YAML, so this keeps the order of the fields.
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return fmt.Errorf("a document is not readable as YAML: %w", err)
	}
	unquote(&root)
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(&root); err != nil {
		return err
	}
	return e.Close()
}

// unquote removes the styles that a node has from JSON. The encoder quotes what would be read
// as another type otherwise.
func unquote(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	for _, inner := range n.Content {
		unquote(inner)
	}
}
