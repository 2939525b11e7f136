"""All that is seen: charts, braille, tables, the HTML frame, how numbers are written."""
