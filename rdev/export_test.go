package rdev

import "bytes"

// Edit damages a row.
func (m *MemoryAudit) Edit(seq uint64, old, new string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.rows {
		if m.rows[i].Seq == seq {
			before := m.rows[i].Body
			m.rows[i].Body = bytes.Replace(before, []byte(old), []byte(new), 1)
			return !bytes.Equal(before, m.rows[i].Body)
		}
	}
	return false
}

// Delete removes a row.
func (m *MemoryAudit) Delete(seq uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.rows {
		if m.rows[i].Seq == seq {
			m.rows = append(m.rows[:i], m.rows[i+1:]...)
			return true
		}
	}
	return false
}
