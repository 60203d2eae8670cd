"""Bills as providers export them, and the books beside them.

    read_bill(data)             reading: which format it is, and the lines of it
    booked(bill, rows)          booking: what the books say on the bill's lines; placed, matched: call by call
    compare(bill, entries)      comparing: by day and model, ours, theirs, and whether they agree
    reasons(line, facts, ...)   explaining: what can make the difference

Pure: nothing here reads a file, the books or a clock. Money of a bill is a Decimal until it is summed, never a float.
"""
