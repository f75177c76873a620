package trust

func (m Machine) javaStores() []Store { return nil }

func (m Machine) javaAt(string) Store { return nil }
