/** Line icons of one family: 24 by 24, drawn with strokes in the colour of the text. */

import type { ParentProps } from 'solid-js';

function Icon(props: ParentProps) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      {props.children}
    </svg>
  );
}

export const CameraIcon = () => (
  <Icon>
    <rect x="3" y="6" width="12.500" height="12" rx="2.500" />
    <path d="M15.500 10.500L21 7.500V16.500L15.500 13.500" />
  </Icon>
);

export const HistoryIcon = () => (
  <Icon>
    <path d="M4 12a8 8 0 1 0 2.600 -5.900M4 4.500V8h3.500M12 8v4.500l3 1.800" />
  </Icon>
);

export const PlusIcon = () => (
  <Icon>
    <path d="M12 5v14M5 12h14" />
  </Icon>
);

export const BackIcon = () => (
  <Icon>
    <path d="M19 12H5M11 6l-6 6 6 6" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="M6 6l12 12M18 6L6 18" />
  </Icon>
);

export const LeaveIcon = () => (
  <Icon>
    <path d="M10 5H6.500A1.500 1.500 0 0 0 5 6.500v11A1.500 1.500 0 0 0 6.500 19H10M15 8l4 4 -4 4M19 12H10" />
  </Icon>
);

export const DownloadIcon = () => (
  <Icon>
    <path d="M12 4v11M7.500 10.500L12 15l4.500 -4.500M5 19.500h14" />
  </Icon>
);

const LOUDSPEAKER = 'M4 9.500v5h3.500L12 18.500v-13L7.500 9.500Z';

export const SoundIcon = () => (
  <Icon>
    <path d={`${LOUDSPEAKER}M15.500 9a4.200 4.200 0 0 1 0 6M18 6.500a7.800 7.800 0 0 1 0 11`} />
  </Icon>
);

export const MutedIcon = () => (
  <Icon>
    <path d={`${LOUDSPEAKER}M16 9.500l5 5M21 9.500l-5 5`} />
  </Icon>
);

export const ExpandIcon = () => (
  <Icon>
    <path d="M4.500 9V4.500H9M15 4.500h4.500V9M19.500 15v4.500H15M9 19.500H4.500V15" />
  </Icon>
);

export const ShrinkIcon = () => (
  <Icon>
    <path d="M9 4.500V9H4.500M19.500 9H15V4.500M15 19.500V15h4.500M4.500 15H9v4.500" />
  </Icon>
);

const SHIELD = 'M12 3.500l7 2.500v5.500c0 4.300 -2.900 7.500 -7 9 -4.100 -1.500 -7 -4.700 -7 -9V6Z';

export const TrustedIcon = () => (
  <Icon>
    <path d={`${SHIELD}M8.800 12l2.300 2.300 4.300 -4.600`} />
  </Icon>
);

export const UntrustedIcon = () => (
  <Icon>
    <path d={`${SHIELD}M12 8.500v4M12 15.300v.2`} />
  </Icon>
);

export const SlidersIcon = () => (
  <Icon>
    <path d="M4 7h9M17 7h3M4 17h3M11 17h9" />
    <circle cx="15" cy="7" r="2" />
    <circle cx="9" cy="17" r="2" />
  </Icon>
);

export const ShutterIcon = () => (
  <Icon>
    <path d="M8.500 7l1.300 -2h4.400l1.300 2H19a2 2 0 0 1 2 2v8.500a2 2 0 0 1 -2 2H5a2 2 0 0 1 -2 -2V9a2 2 0 0 1 2 -2Z" />
    <circle cx="12" cy="13" r="3.500" />
  </Icon>
);

export const MicrophoneIcon = () => (
  <Icon>
    <rect x="9" y="3" width="6" height="11" rx="3" />
    <path d="M5.500 11.500a6.500 6.500 0 0 0 13 0M12 18v3" />
  </Icon>
);
