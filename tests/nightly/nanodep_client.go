// SPDX-License-Identifier: Apache-2.0
//
// NanoDEP's Go client, told what to ask line by line by unmodified_nanodep.py: its arguments are the base URL and a file with the tokens; a
// line is {"call": ..., ...}, and so is the answer: {"answer": ...} or {"error": ..., "is": ...}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/micromdm/nanodep/client"
	"github.com/micromdm/nanodep/godep"
)

const name = "virtual"

type store struct {
	config client.Config
	tokens client.OAuth1Tokens
}

func (s *store) RetrieveConfig(context.Context, string) (*client.Config, error) {
	return &s.config, nil
}

func (s *store) RetrieveAuthTokens(context.Context, string) (*client.OAuth1Tokens, error) {
	return &s.tokens, nil
}

type question struct {
	Call, Cursor, UUID, URL, Key, Message string
	Limit                                 int
	Serials                               []string
	Profile                               *godep.ProfileJson
}

func (q *question) options() []godep.DeviceRequestOption {
	return []godep.DeviceRequestOption{godep.WithCursor(q.Cursor), godep.WithLimit(q.Limit)}
}

func ask(c *godep.Client, q *question) (interface{}, error) {
	ctx := context.Background()
	switch q.Call {
	case "AccountDetail":
		return c.AccountDetail(ctx, name)
	case "FetchDevices":
		return c.FetchDevices(ctx, name, q.options()...)
	case "SyncDevices":
		return c.SyncDevices(ctx, name, q.options()...)
	case "DeviceDetails":
		return c.DeviceDetails(ctx, name, q.Serials...)
	case "DefineProfile":
		return c.DefineProfile(ctx, name, q.Profile)
	case "GetProfile":
		return c.GetProfile(ctx, name, q.UUID)
	case "AssignProfile":
		return c.AssignProfile(ctx, name, q.UUID, q.Serials...)
	case "RemoveProfile":
		return c.RemoveProfile(ctx, name, q.Serials...)
	case "DisownDevices":
		return c.DisownDevices(ctx, name, q.Serials...)
	case "ActivationLock":
		return c.ActivationLock(ctx, name, q.Serials[0], q.Key, q.Message)
	case "OSBetaEnrollmentTokens":
		return c.OSBetaEnrollmentTokens(ctx, name)
	case "AssignAccountDrivenEnrollmentProfile":
		return nil, c.AssignAccountDrivenEnrollmentProfile(ctx, name, q.URL)
	}
	return nil, fmt.Errorf("no such call: %s", q.Call)
}

// What NanoDEP's own functions make of an error.
func kind(err error) string {
	for word, is := range map[string]func(error) bool{
		"exhausted": godep.IsCursorExhausted, "invalid": godep.IsCursorInvalid, "expired": godep.IsCursorExpired,
		"turned off": godep.IsAppleSeedForITTurnedOff,
	} {
		if is(err) {
			return word
		}
	}
	return ""
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	s := &store{config: client.Config{BaseURL: os.Args[1]}}
	file, err := os.ReadFile(os.Args[2])
	must(err)
	must(json.Unmarshal(file, &s.tokens))
	c := godep.NewClient(s)
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		q := new(question)
		must(json.Unmarshal(in.Bytes(), q))
		answer, err := ask(c, q)
		if err != nil {
			must(out.Encode(map[string]string{"error": err.Error(), "is": kind(err)}))
		} else {
			must(out.Encode(map[string]interface{}{"answer": answer}))
		}
	}
}
