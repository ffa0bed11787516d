package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// outcome is what a caller was told.
type outcome uint8

const (
	acknowledged outcome = iota // charged
	replayed                    // charged before: the first result again
	refused                     // not enough credits
	unknown                     // 503, or no answer: the outcome is not known
	wrong                       // anything else, which must not happen
	unsent                      // too many were in flight already
	begun                       // sent: what became of it follows, unless the driver is killed
)

// record is what became of one attempt.
type record struct {
	start   int64  // microseconds since 1970 at which it was, or should have been, sent
	latency uint32 // microseconds until the answer
	wallet  uint32
	n       uint32 // of the caller's request
	caller  uint16
	driver  uint8
	outcome outcome
}

// recordBytes is the size of a record on the wire.
const recordBytes = 24

func (r record) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(r.start))
	b = binary.LittleEndian.AppendUint32(b, r.latency)
	b = binary.LittleEndian.AppendUint32(b, r.wallet)
	b = binary.LittleEndian.AppendUint32(b, r.n)
	b = binary.LittleEndian.AppendUint16(b, r.caller)
	return append(b, r.driver, byte(r.outcome))
}

func decodeRecord(b []byte) record {
	return record{
		start: int64(binary.LittleEndian.Uint64(b)), latency: binary.LittleEndian.Uint32(b[8:]), wallet: binary.LittleEndian.Uint32(b[12:]),
		n: binary.LittleEndian.Uint32(b[16:]), caller: binary.LittleEndian.Uint16(b[20:]), driver: b[22], outcome: outcome(b[23]),
	}
}

// event is the id that the record is about.
func (r record) event() string { return eventID(int(r.driver), int(r.caller), int(r.n)) }

// end is when the answer came, in microseconds since 1970.
func (r record) end() int64 { return r.start + int64(r.latency) }

// newRecord is of an attempt that began at a moment and ends now.
func newRecord(start time.Time, driver, caller, n, wallet int, o outcome) record {
	return record{
		start: start.UnixMicro(), latency: uint32(min(time.Since(start), time.Hour).Microseconds()),
		wallet: uint32(wallet), n: uint32(n), caller: uint16(caller), driver: uint8(driver), outcome: o,
	}
}

// readRecords reads records until the writer ends, which a killed one may do within a record.
func readRecords(r io.Reader, each func(record)) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var b [recordBytes]byte
	for {
		_, err := io.ReadFull(in, b[:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a driver's records: %w", err)
		}
		each(decodeRecord(b[:]))
	}
}
