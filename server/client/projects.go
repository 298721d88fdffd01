package client

import (
	"context"
	"net/http"
	"net/url"
)

// A Project is a place where commands run.
type Project struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Status      string `json:"status"` // running, pending, failed or not_found
	Detail      string `json:"detail,omitempty"`
	Policy      string `json:"policy"` // strict, restricted or permissive
}

// Projects returns the projects that the key may see, by name.
func (c *Client) Projects(ctx context.Context) ([]Project, error) {
	var data struct {
		Projects []Project `json:"projects"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/projects", again: true}, &data)
	return data.Projects, err
}

// Project returns one project. ProjectNotFound if there is none that the key
// may see.
func (c *Client) Project(ctx context.Context, name string) (Project, error) {
	var p Project
	err := c.do(ctx, call{method: http.MethodGet, path: projectPath(name), again: true}, &p)
	return p, err
}

func projectPath(project string) string { return "/projects/" + url.PathEscape(project) }
