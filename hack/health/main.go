// Says what tools that wait for objects make of them: kstatus, which Flux and kubectl's successors use, by Flux's own library, and Argo
// CD's health check in the Lua that Argo CD runs: `health SCRIPT < objects.json`. Reads a list of objects, writes a list of verdicts.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sjson "k8s.io/apimachinery/pkg/util/json"
)

type verdict struct {
	Kstatus     string `json:"kstatus"`
	Argo        string `json:"argo"`
	ArgoMessage string `json:"argoMessage"`
}

// The object as Argo CD hands it to a script.
func table(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		object := state.NewTable()
		for key, field := range value {
			object.RawSetString(key, table(state, field))
		}
		return object
	case []any:
		list := state.NewTable()
		for _, item := range value {
			list.Append(table(state, item))
		}
		return list
	case string:
		return lua.LString(value)
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case int64:
		return lua.LNumber(value)
	default:
		return lua.LNil
	}
}

// Without any library, as by default in Argo CD: a script that needs one fails here too.
func argo(script string, object map[string]any) (string, string, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	// ipairs and its like; Argo CD opens these too.
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", table(state, object))
	if err := state.DoString(script); err != nil {
		return "", "", err
	}
	result, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "", "", fmt.Errorf("the script returns %s, not a table", state.Get(-1).Type())
	}
	return lua.LVAsString(result.RawGetString("status")), lua.LVAsString(result.RawGetString("message")), nil
}

func run(path string) error {
	script, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	// As Kubernetes reads JSON: whole numbers stay whole.
	var objects []any
	if err := k8sjson.Unmarshal(input, &objects); err != nil {
		return err
	}
	verdicts := []verdict{}
	for _, object := range objects {
		object, ok := object.(map[string]any)
		if !ok {
			return fmt.Errorf("not a list of objects")
		}
		computed, err := status.Compute(&unstructured.Unstructured{Object: object})
		if err != nil {
			return err
		}
		health, message, err := argo(string(script), object)
		if err != nil {
			return err
		}
		verdicts = append(verdicts, verdict{string(computed.Status), health, message})
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: health SCRIPT < objects.json")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}
