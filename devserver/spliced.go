package devserver

import (
	"fmt"
	"io"
)

// spliced reads a file with something put in.
type spliced struct {
	file io.ReadSeeker
	size int64 // of the file
	in   string
	from int64 // where in begins
	at   int64
}

func newSpliced(file io.ReadSeeker, size int64, s splice) *spliced {
	return &spliced{file: file, size: size, in: s.tag, from: int64(s.at)}
}

// Read implements [io.Reader].
func (s *spliced) Read(p []byte) (int, error) {
	end := s.from + int64(len(s.in))
	switch {
	case s.at >= s.from && s.at < end:
		n := copy(p, s.in[s.at-s.from:])
		s.at += int64(n)
		return n, nil
	case s.at < s.from:
		p = p[:min(int64(len(p)), s.from-s.at)]
	}
	inFile := s.at
	if s.at >= end {
		inFile -= int64(len(s.in))
	}
	if _, err := s.file.Seek(inFile, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := s.file.Read(p)
	s.at += int64(n)
	return n, err
}

// Seek implements [io.Seeker].
func (s *spliced) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.size + int64(len(s.in))
	}
	if offset < 0 {
		return 0, fmt.Errorf("reading a page: %d is before its beginning", offset)
	}
	s.at = offset
	return offset, nil
}
