/** Figures in words for people. */

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'] as const;

export function bytes(value: number): string;
export function bytes(value: number | null): string | null;
export function bytes(value: number | null): string | null {
  if (value === null) return null;
  let amount = value;
  let unit = 0;
  while (amount >= 1000 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? amount : significant(amount)} ${UNITS[unit] ?? ''}`;
}

export function duration(milliseconds: number): string;
export function duration(milliseconds: number | null): string | null;
export function duration(milliseconds: number | null): string | null {
  if (milliseconds === null) return null;
  if (milliseconds < 1_000) return `${significant(milliseconds)} ms`;
  const seconds = milliseconds / 1_000;
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

export function rate(value: number | null, unit: string): string | null {
  return value === null ? null : `${significant(value)} ${unit}`;
}

export function count(value: number): string {
  return value.toLocaleString('en');
}

function significant(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
