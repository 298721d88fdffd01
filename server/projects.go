package server

import (
	"net/http"

	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

type projectData struct {
	Name        string       `json:"name"`
	Description string       `json:"description,omitzero"`
	Status      rdev.Status  `json:"status"`
	Detail      string       `json:"detail,omitzero"`
	Policy      policy.Level `json:"policy"`
}

type projectsData struct {
	Projects []projectData `json:"projects"`
}

func projectDataOf(p rdev.Project) projectData {
	return projectData{p.Name, p.Description, p.Status, p.Detail, p.Policy}
}

func (s *Server) listProjects(x *exchange) error {
	if _, err := x.query(); err != nil {
		return err
	}
	projects, err := s.svc.Projects(x.r.Context(), x.caller)
	if err != nil {
		return err
	}
	data := projectsData{Projects: make([]projectData, len(projects))}
	for i, p := range projects {
		data.Projects[i] = projectDataOf(p)
	}
	return x.reply(http.StatusOK, data)
}

func (s *Server) getProject(x *exchange) error {
	if _, err := x.query(); err != nil {
		return err
	}
	p, err := s.svc.Project(x.r.Context(), x.caller, x.project())
	if err != nil {
		return err
	}
	return x.reply(http.StatusOK, projectDataOf(p))
}
