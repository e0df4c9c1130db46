// The fields of what several resources have, or what has rows: permissions, schedules,
// variables, hooks, volumes.

// permissions are what users may do in their sessions.
export const permissions = {
  name: 'permissions', label: 'What users may do', kind: 'object', placeholder: '{"allow_audio": false}',
  fields: [
    ['allow_audio', 'Audio', true], ['allow_clipboard_down', 'Clipboard down', true], ['allow_clipboard_up', 'Clipboard up', true],
    ['allow_downloads', 'Downloads', true], ['allow_uploads', 'Uploads', true], ['allow_microphone', 'Microphone', false],
    ['allow_webcam', 'Webcam', false], ['allow_gamepad', 'Gamepad', false], ['allow_printing', 'Printing', false],
  ].map(([name, label, otherwise]) => ({ name, label, kind: 'either', otherwise })),
};

const timeZones = () => ['UTC', ...Intl.supportedValuesOf('timeZone')];

// schedule is the times at which a pool has another number of desired sessions.
export const schedule = {
  name: 'schedule', label: 'Times at which another number is wanted', kind: 'list',
  hint: 'A period begins when its cron says: minute, hour, day of month, month, day of week. The highest number that applies wins.',
  placeholder: '[{"cron": "45 12 * * MON-FRI", "time_zone": "Europe/Berlin", "duration": "30m", "desired_sessions": 30}]',
  item: {
    kind: 'object', word: 'period', name: (i) => `Period ${i + 1}`,
    fields: [
      { name: 'cron', label: 'Cron', kind: 'text', required: true, placeholder: '45 12 * * MON-FRI', standIn: '0 0 * * *' },
      { name: 'time_zone', label: 'Time zone', kind: 'suggested', suggestions: timeZones, placeholder: 'UTC' },
      { name: 'duration', label: 'Duration', kind: 'duration', required: true, placeholder: '30m' },
      { name: 'desired_sessions', label: 'Desired sessions then', kind: 'number', placeholder: '30', standIn: 1 },
    ],
  },
};

// sizing has a pool follow its demand.
export const sizing = {
  name: 'sizing', label: 'Sizing by demand', kind: 'optional', layout: 'column',
  hint: 'As few idle sessions as serve the wanted share of launches with ready ones. Schedules are floors.',
  placeholder: '{"mode": "recommend", "served_warm": 0.99, "min": 2, "max": 60}',
  fields: [
    { name: 'mode', label: 'Mode', kind: 'select', options: [['recommend', 'Recommend: change nothing, show what would be wanted'], ['demand', 'Demand: the pool follows it']], required: true, standIn: 'recommend' },
    { name: 'served_warm', label: 'Served warm', kind: 'number', placeholder: '0.99', hint: 'Share of launches that find a ready session.', standIn: 0.99 },
    { name: 'min', label: 'Fewest sessions', kind: 'number', placeholder: '0', standIn: 0 },
    { name: 'max', label: 'Most sessions', kind: 'number', required: true, placeholder: '60', standIn: 1000 },
    { name: 'weight', label: 'Weight', kind: 'number', placeholder: '1', hint: 'How much its launches count where a zone is too small for all pools.', standIn: 1 },
    { name: 'time_zone', label: 'Time zone of days and weeks', kind: 'suggested', suggestions: timeZones, placeholder: 'UTC' },
  ],
};

// variables are the values of a jobspec's variables.
export const variables = {
  name: 'variables', label: 'Variables', kind: 'map', hint: 'Values of the jobspec\'s variables.', placeholder: '{"port": "8080"}',
  item: { word: 'variable' },
};

// labels are what launches choose by.
export const labels = {
  name: 'labels', label: 'Labels', kind: 'map', hint: 'What launches with a selector choose by.', placeholder: '{"tier": "gold"}',
  item: { word: 'label' },
};

// maxSessions returns the field for how many sessions may exist at once.
export const maxSessions = (hint) => ({ name: 'max_sessions', label: 'Max sessions', kind: 'number', placeholder: '10', standIn: 10, hint });

// labelList shows labels, one a line.
export const labelList = (labels) => Object.entries(labels ?? {}).map(([k, v]) => `${k}=${v}`).join(', ');

const hook = [
  {
    name: 'cmd', label: 'Command', kind: 'list', nested: true, required: true, least: 1,
    item: { kind: 'verbatim', required: true, word: 'argument', name: (i) => (i ? `Argument ${i}` : 'Program') },
  },
  { name: 'environment', label: 'Environment', kind: 'map', nested: true, item: { word: 'environment variable' } },
  { name: 'timeout', label: 'Timeout', kind: 'duration', placeholder: '10s', hint: 'A hook that takes longer has failed.' },
  { name: 'task', label: 'Task', kind: 'text', placeholder: 'the main one' },
  { name: 'user', label: 'User', kind: 'text', placeholder: 'the task\'s own' },
  { name: 'workdir', label: 'Working directory', kind: 'text', placeholder: 'the task\'s own' },
];

const before = { name: 'before', label: 'Before', kind: 'duration', placeholder: '5m', hint: 'How long before the time limit it runs.' };

// hooks are an image's commands, run inside a session.
export const hooks = {
  name: 'exec_config', label: 'Commands run in a session', kind: 'object', layout: 'column',
  hint: 'A command is a program and its arguments, not a line for a shell. Tokens such as {username} stand for values of the launch.',
  placeholder: '{"assign": {"cmd": ["/usr/local/bin/welcome", "{url}"], "timeout": "5s"}}',
  fields: [
    ['first_launch', 'First launch hook', 'Runs once, when a session is healthy for the first time and has no user yet.'],
    ['assign', 'Assign hook', 'Runs when a user gets a staged session, before the launch is answered.'],
    ['go', 'Go hook', 'Runs when a user who has a session of the image launches it with a URL.'],
    ['pre_end', 'Pre-end hook', 'Runs some time before a user\'s session ends by a limit, once for each such end.', [before]],
    ['pre_stop', 'Pre-stop hook', 'Runs when a user\'s session is ended, before it is stopped, which nothing keeps it from.'],
  ].map(([name, label, hint, more = []]) => ({ name, label, hint, kind: 'optional', nested: true, fields: [...hook, ...more] })),
};

// volumes returns the field for directories of the node that sessions see.
export const volumes = (name) => ({
  name, label: 'Volume mappings', kind: 'list', hint: 'Directories of the node that sessions see.',
  placeholder: '[{"source": "/srv/data", "target": "/data", "read_only": true}]',
  item: {
    kind: 'object', word: 'volume mapping', name: (i) => `Volume mapping ${i + 1}`,
    fields: [
      { name: 'source', label: 'Directory on the node', kind: 'text', required: true, placeholder: '/srv/homes/{user_id}' },
      { name: 'target', label: 'Directory in the session', kind: 'text', required: true, placeholder: '/home/user' },
      { name: 'read_only', label: 'Read only', kind: 'no' },
    ],
  },
});
