package trust

func (m Machine) firefoxStores() []Store { return nil }

func (m Machine) firefoxAt(string) Store { return nil }
