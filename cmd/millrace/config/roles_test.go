package config

import (
	"strings"
	"testing"
)

// TestRolesTogether checks which roles may be apart: what one agent keeps in its data folder no other can work on.
func TestRolesTogether(t *testing.T) {
	t.Parallel()
	for roles, want := range map[string]bool{
		"hook,plan,work,report,web": true, "hook,plan,work": true, "plan,work": true, "report": true, "web": true, "report,web": true,
		"hook": false, "plan": false, "work": false, "hook,plan": false, "plan,report": false, "work,web": false, "hook,work": false, "hook,report,web": false,
	} {
		c := Default()
		c.Roles = strings.Split(roles, ",")
		err := c.validateRoles()
		if (err == nil) != want {
			t.Errorf("%s: got %v", roles, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "roles: hook, plan and work belong into one agent, because ") {
			t.Errorf("%s: got %v", roles, err)
		}
	}
}
