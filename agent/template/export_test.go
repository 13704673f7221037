package template

// For tests.
var (
	DeployRole   = deployRole
	DeployScript = deployScript
)
