// Soon: the call.
