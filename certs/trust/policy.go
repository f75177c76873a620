package trust

func (m Machine) policyStores() []Store { return nil }
