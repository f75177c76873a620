package main

import "rtcdev/devserver"

// unreached says what a page does not get from the internet, and what it gets
// instead or how to have that.
func (s *servePrinter) unreached(e devserver.Unreached) {
	s.note("%s  The page %s loads %s,\n", e.Time.Local().Format("15:04:05"), e.Page, e.Address)
	s.note("          which cannot be reached from here (%s).\n", e.Reason)
	switch {
	case e.Integrity:
		s.note("          The script tag has an integrity attribute, which would refuse any copy,\n")
		s.note("          so the page is served as it is. Remove the attribute to get one.\n")
	case e.Copy != "":
		s.note("          Served instead: %s\n", e.Copy)
	default:
		s.note("          The folder has no copy of it. With internet, this gets one:\n")
		s.note("          npm install --prefix %s webrtc-adapter\n", quoted(s.folder()))
	}
}
