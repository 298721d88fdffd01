package mask

import "slices"

// minTail is the shortest beginning of a secret that is masked when there is no
// more time to wait for the rest.
const minTail = 4

// A Stream masks what a command prints: two sides (standard output and error) in
// pieces. A line that is several pieces is looked at as one, so a piece is
// Settled only when it is known that no secret begins in it that goes on in the
// next. It is not safe for concurrent use.
type Stream struct {
	set   *Set
	sides [2]side
}

// NewStream returns a Stream that begins at the beginning of a line.
func NewStream(s *Set) *Stream { return &Stream{set: s} }

// A side is where one side of the output stands.
type side struct {
	// carry is the end of what came that may be the beginning of a secret;
	// pieces has those that it lies in. Bytes before them are settled already.
	carry  []byte
	pieces []*Piece
	inLine bool       // the last piece was partial
	rest   *[256]bool // in a secret that goes on with these bytes

	block   int  // lines that are left of a block, zero outside
	quoted  bool // what comes is behind the quote of that
	escaped bool // the last piece, in a block, ends with a backslash
	key     bool // the line has a part of a key, or is where the block begins
}

// A Piece is a line, or a part of one.
type Piece struct {
	data    []byte
	marks   []mark
	open    int // how many of its bytes at the end are in a carry
	settled bool
}

// mark is a part of a piece that is not shown. Only the first part of a secret
// is replaced by a word.
type mark struct {
	span
	first bool
}

// Settled reports whether the piece can be shown.
func (p *Piece) Settled() bool { return p.settled }

// Masked returns what can be shown of the piece: its data itself if there is
// nothing to hide.
func (p *Piece) Masked() []byte {
	if len(p.marks) == 0 {
		return p.data
	}
	var shown []byte
	end := 0
	for _, m := range p.marks {
		if m.from > end {
			shown = append(shown, p.data[end:m.from]...)
		}
		if m.first {
			shown = append(shown, Replacement...)
		}
		end = max(end, m.to)
	}
	return append(shown, p.data[end:]...)
}

// Plain reports whether a whole line can be shown as it is. It is what Add would
// find, at less cost, for nearly all lines.
func (s *Stream) Plain(which int, data []byte, partial bool) bool {
	side := &s.sides[which]
	if partial || side.inLine || side.block > 0 {
		return false
	}
	for i := s.set.next(data, 0); i >= 0; i = s.set.next(data, i+1) {
		if s.set.at(data, i, false).end > 0 {
			return false
		}
	}
	return true
}

// Add takes the next piece of a side, whose data it keeps.
func (s *Stream) Add(which int, data []byte, partial bool) *Piece {
	side := &s.sides[which]
	p := &Piece{data: data}
	from := side.proceed(p)
	text := append(slices.Clip(side.carry), data[from:]...)
	carried := len(side.carry)
	f := s.set.scan(text, partial, side.behindQuote())
	for _, span := range f.spans {
		side.mark(p, span, carried, from)
	}
	for _, earlier := range side.pieces {
		earlier.open = 0
	}
	open := text[f.open:]
	side.hold(p, len(open), carried)
	side.carry = slices.Clone(open)
	if from < len(data) || f.rest != nil {
		side.rest = f.rest
	}
	if f.block != blockSame {
		side.enter(f.block, maxBlock)
		side.escaped = endsEscaped(text, false)
	}
	side.key = side.key || f.key
	if side.inLine = partial; !partial {
		if side.behindQuote() && !side.key {
			side.block = 0
		}
		side.rest, side.escaped, side.key = nil, false, false
	}
	return p
}

// behindQuote reports whether what comes is behind the quote of a block.
func (d *side) behindQuote() bool { return d.block > 0 && d.quoted }

// enter notes what follows is in, with so many lines left if it is a block.
func (d *side) enter(next blockState, lines int) {
	switch next {
	case blockOff:
		d.block = 0
	case blockOpen:
		d.block, d.quoted = lines, false
	case blockQuoted:
		d.block, d.quoted, d.key = lines, true, true
	}
}

// proceed goes on with a secret that the last piece ended in, and returns from
// where on there may be something else.
func (d *side) proceed(p *Piece) (from int) {
	hide := func(to int) {
		if to > 0 {
			p.marks = append(p.marks, mark{span{0, to}, !d.inLine})
		}
	}
	if d.block > 0 && !d.inLine {
		d.block--
	}
	switch {
	case d.rest != nil && d.inLine:
		if d.behindQuote() && d.rest == &base64 {
			from, _, _ = measureRun(p.data) // with escapes
		} else {
			from = run(p.data, d.rest, 0)
		}
		hide(from)
		if from < len(p.data) {
			d.rest = nil
		}
	case d.block == 0, d.quoted && d.inLine:
	case d.inLine:
		to, next := inBlock(p.data, d.escaped)
		d.escaped = endsEscaped(p.data, d.escaped)
		d.enter(next, d.block)
		from = to
		hide(from)
	case d.quoted:
		if isBlockLine(p.data) {
			d.key, d.rest, from = true, &base64, len(p.data)
			hide(from)
		}
	default:
		if _, end := endOfBlock(p.data); end > 0 {
			d.block, from = 0, end
		} else if inBlockLine(p.data) {
			d.escaped, from = endsEscaped(p.data, false), len(p.data)
		} else {
			d.block = 0
		}
		hide(from)
	}
	return from
}

// mark hides a span of the carry and the data behind it.
func (d *side) mark(p *Piece, s span, carried, from int) {
	at := carried
	for _, earlier := range d.pieces {
		at -= earlier.open
	}
	// What is before at was shown by Force, or hidden if it was long enough.
	first := at-s.from < minTail
	for _, earlier := range d.pieces {
		end := at + earlier.open
		if s.from < end && s.to > at {
			base := len(earlier.data) - end
			earlier.marks = append(earlier.marks, mark{span{max(s.from, at) + base, min(s.to, end) + base}, first})
			first = false
		}
		at = end
	}
	if s.to > carried {
		shift := from - carried
		p.marks = append(p.marks, mark{span{max(s.from, carried) + shift, s.to + shift}, first})
	}
}

// hold settles the pieces that are not in the last open bytes.
func (d *side) hold(p *Piece, open, carried int) {
	all := append(d.pieces, p)
	var held []*Piece
	left := open
	for _, piece := range slices.Backward(all) {
		if left > 0 {
			piece.open = min(left, len(piece.data))
			left -= piece.open
			held = append(held, piece)
			continue
		}
		piece.settled = true
	}
	slices.Reverse(held)
	d.pieces = held
}

// Force settles every piece. If more of a line may come, what may be the
// beginning of a secret is hidden, or shown if it is shorter than four bytes, and
// its rest is hidden if it comes.
func (s *Stream) Force(more bool) {
	for i := range s.sides {
		side := &s.sides[i]
		if len(side.pieces) == 0 {
			continue
		}
		spans := s.set.scan(side.carry, false, side.behindQuote()).spans
		if end := len(side.carry); more && end >= minTail && (len(spans) == 0 || spans[len(spans)-1].to < end) {
			spans = []span{{0, end}}
		}
		last := len(side.pieces) - 1
		p := side.pieces[last]
		open := p.open
		side.pieces = side.pieces[:last]
		for _, found := range spans {
			side.mark(p, found, len(side.carry)-open, len(p.data)-open)
		}
		for _, piece := range append(side.pieces, p) {
			piece.settled, piece.open = true, 0
		}
		side.pieces = nil
	}
}
