/** The heron: its mark, and the bird itself for illustrations. */

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 48 48" aria-hidden="true">
      <rect class="logo-ground" width="48" height="48" rx="12" />
      <path
        class="logo-neck"
        d="M9 48C9 40 15 37.500 21 35.500C27 33.500 29.500 30 27 25.500C24.800 21.600 19.500 19.500 19.500 14.500"
      />
      <path
        class="logo-bird"
        d="M16.800 15C16.800 10.500 20.500 8 24.500 8.500C27 8.800 28.500 10 30 11.200L44 17.200L28.500 17.200C25.500 18 22.300 17.800 20.500 19Z"
      />
      <path class="logo-beak" d="M28.800 10.600L44.500 17.500L28.500 17.400C29.300 15 29.500 12.500 28.800 10.600Z" />
      <path class="logo-bird" d="M22 9.200C16 8.500 10.500 9.500 5.500 13.500C11.500 12 16.500 12.300 20 13.500Z" />
      <circle class="logo-ground" cx="24.600" cy="12.600" r="1.700" />
    </svg>
  );
}

/** A heron standing in water, about 40 wide and 78 high; its feet are at (0, 0). */
export function StandingHeron() {
  return (
    <g class="bird">
      <path class="bird-legs" d="M-2 -30L-3 0M3 -30L5 -13L3 0" />
      <path class="bird-body" d="M-21 -24C-13 -43 2 -48 11 -42C14 -36 8 -29 -1 -27.500C-8 -26 -14 -26.500 -21 -24Z" />
      <path class="bird-wing" d="M-24 -21C-17 -36 -6 -41 4 -39C0 -31 -10 -27 -24 -21Z" />
      <path class="bird-neck" d="M8 -40C16 -46 11 -52 7 -57C3.500 -62 6 -68 11 -69" />
      <path class="bird-head" d="M7.500 -67C7.500 -71.500 12 -73 15 -70.500L32 -66.500L15.500 -66C12 -64.500 8 -64 7.500 -67Z" />
      <path class="bird-crest" d="M11 -71C6 -72.500 1 -71 -3 -67.500C2 -68.500 6 -68 9 -67Z" />
    </g>
  );
}
