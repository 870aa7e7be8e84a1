// Where a new day begins among the messages. Pure: no I/O; the days are those of this machine's time zone.

const dayOf = (at) => new Date(at).toDateString();

/** The rows with a row of kind `day` before each day's first, but for today where everything is of today. */
export function withDays(rows, now) {
  let day = rows.length > 0 && dayOf(rows[0].at) === dayOf(now) ? dayOf(now) : null;
  return rows.flatMap((row) => {
    if (dayOf(row.at) === day) return [row];
    day = dayOf(row.at);
    return [{ key: `day before ${row.key}`, kind: 'day', at: row.at }, row];
  });
}
