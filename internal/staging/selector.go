package staging

import (
	"fmt"
	"slices"
	"strings"
)

// Selector chooses by labels, in the syntax of Kubernetes: clauses with commas between, all of
// which must hold.
//
//	key = value   key == value   key != value
//	key in (a, b)   key notin (a, b)   key   !key
//
// As in Kubernetes, != and notin hold where there is no such key.
type Selector []Requirement

// Requirement is one clause of a selector.
type Requirement struct {
	Key      string
	Operator SelectorOperator
	// Values are those of SelectIn and SelectNotIn.
	Values []string
}

// SelectorOperator is what a clause requires of a key.
type SelectorOperator string

// The operators.
const (
	SelectIn     SelectorOperator = "in"
	SelectNotIn  SelectorOperator = "notin"
	SelectExists SelectorOperator = "exists"
	SelectAbsent SelectorOperator = "absent"
)

// Matches reports whether labels are what the selector chooses.
func (s Selector) Matches(labels map[string]string) bool {
	for _, r := range s {
		value, there := labels[r.Key]
		var holds bool
		switch r.Operator {
		case SelectIn:
			holds = there && slices.Contains(r.Values, value)
		case SelectNotIn:
			holds = !there || !slices.Contains(r.Values, value)
		case SelectExists:
			holds = there
		case SelectAbsent:
			holds = !there
		}
		if !holds {
			return false
		}
	}
	return true
}

// ParseSelector reads a selector. The error says what is wrong, for a person. An empty text is
// an error: it would choose everything.
func ParseSelector(text string) (Selector, error) {
	if len(text) > MaxSelectorLength {
		return nil, fmt.Errorf("must be at most %d bytes, is %d", MaxSelectorLength, len(text))
	}
	p := selectorParser{tokens: selectorTokens(text)}
	var s Selector
	for {
		r, err := p.requirement()
		if err != nil {
			return nil, err
		}
		s = append(s, r)
		if len(s) > maxSelectorClauses {
			return nil, fmt.Errorf("must have at most %d clauses", maxSelectorClauses)
		}
		switch next := p.next(); next {
		case "":
			return s, nil
		case ",":
		default:
			return nil, fmt.Errorf("has %q where a comma or the end is expected, after %q", next, r.Key)
		}
	}
}

// selectorTokens splits a selector into operators, punctuation and words.
func selectorTokens(text string) []string {
	const punctuation = "(),!="
	var tokens []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		n := strings.IndexAny(text, punctuation+" \t\r\n")
		switch {
		case strings.HasPrefix(text, "=="), strings.HasPrefix(text, "!="):
			n = 2
		case n == 0:
			n = 1
		case n < 0:
			n = len(text)
		}
		tokens = append(tokens, text[:n])
		text = text[n:]
	}
	return tokens
}

type selectorParser struct{ tokens []string }

// peek returns the next token, next takes it; "" at the end.
func (p *selectorParser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *selectorParser) next() string {
	token := p.peek()
	if token != "" {
		p.tokens = p.tokens[1:]
	}
	return token
}

// requirement reads one clause.
func (p *selectorParser) requirement() (Requirement, error) {
	absent := p.peek() == "!"
	if absent {
		p.next()
	}
	r := Requirement{Key: p.next(), Operator: SelectExists}
	if r.Key == "" {
		return r, fmt.Errorf("must have a key, such as tier in tier=gold")
	}
	if why := whyNoLabelKey(r.Key); why != "" {
		return r, fmt.Errorf("has a key that is none: it %s", why)
	}
	if absent {
		r.Operator = SelectAbsent
		return r, nil
	}
	var err error
	switch p.peek() {
	case "=", "==":
		p.next()
		r.Operator = SelectIn
		r.Values, err = p.value(r.Key)
	case "!=":
		p.next()
		r.Operator = SelectNotIn
		r.Values, err = p.value(r.Key)
	case string(SelectIn), string(SelectNotIn):
		r.Operator = SelectorOperator(p.next())
		r.Values, err = p.set(r)
	}
	return r, err
}

// value reads the value behind an equality sign, which may be empty.
func (p *selectorParser) value(key string) ([]string, error) {
	value := ""
	if next := p.peek(); next != "," && next != "" {
		value = p.next()
	}
	if why := whyNoLabelValue(value); why != "" {
		return nil, fmt.Errorf("has a value of %s that is none: it %s", key, why)
	}
	return []string{value}, nil
}

// set reads the values of a set, in parentheses.
func (p *selectorParser) set(r Requirement) ([]string, error) {
	if p.next() != "(" {
		return nil, fmt.Errorf("must have a set behind %s %s, such as (a, b)", r.Key, r.Operator)
	}
	var values []string
	for {
		value := ""
		if next := p.peek(); next != "," && next != ")" && next != "" {
			value = p.next()
		}
		if why := whyNoLabelValue(value); why != "" {
			return nil, fmt.Errorf("has a value of %s that is none: it %s", r.Key, why)
		}
		values = append(values, value)
		switch next := p.next(); next {
		case ")":
			return values, nil
		case ",":
		default:
			return nil, fmt.Errorf("must have a comma or a closing parenthesis in the set of %s", r.Key)
		}
	}
}
