package redisstore

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// writer appends the fields of a record.
type writer struct {
	b   []byte
	err error
}

func (w *writer) byte(v byte)      { w.b = append(w.b, v) }
func (w *writer) int(v int64)      { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)) }
func (w *writer) raw(v string)     { w.b = append(w.b, v...) }
func (w *writer) time(t time.Time) { w.int(millis(t)) }

func (w *writer) bool(v bool) {
	if v {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

func (w *writer) text(v string) {
	if len(v) > math.MaxUint16 {
		w.err = errors.New("a text of more than 65535 bytes")
		return
	}
	w.b = binary.BigEndian.AppendUint16(w.b, uint16(len(v)))
	w.raw(v)
}

func (w *writer) list(v []string) {
	if len(v) > math.MaxUint16 {
		w.err = errors.New("a list of more than 65535 texts")
		return
	}
	w.b = binary.BigEndian.AppendUint16(w.b, uint16(len(v)))
	for _, text := range v {
		w.text(text)
	}
}

var errCut = errors.New("the record is cut short")

// reader takes the fields off a record again. Past the end, between two fields,
// it reads zeros; an end within a field is an error.
type reader struct {
	rest string
	err  error
}

func (r *reader) take(n int) string {
	if n > len(r.rest) {
		if r.rest != "" {
			r.err = errCut
		}
		r.rest = ""
		return string(make([]byte, n))
	}
	v := r.rest[:n]
	r.rest = r.rest[n:]
	return v
}

func (r *reader) byte() byte      { return r.take(1)[0] }
func (r *reader) bool() bool      { return r.byte() == 1 }
func (r *reader) int() int64      { return int64(binary.BigEndian.Uint64([]byte(r.take(8)))) }
func (r *reader) time() time.Time { return timeOf(r.int()) }
func (r *reader) length() int     { return int(binary.BigEndian.Uint16([]byte(r.take(2)))) }

func (r *reader) text() string {
	n := r.length()
	if n > len(r.rest) {
		r.err, r.rest = errCut, ""
		return ""
	}
	return r.take(n)
}

func (r *reader) list() []string {
	var v []string
	for range r.length() {
		if r.rest == "" {
			r.err = errCut
			return nil
		}
		v = append(v, r.text())
	}
	return v
}
