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

// variables are the values of a jobspec's variables.
export const variables = {
  name: 'variables', label: 'Variables', kind: 'map', hint: 'Values of the jobspec\'s variables.', placeholder: '{"port": "8080"}',
  item: { word: 'variable' },
};

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

// hooks are an image's commands, run inside a session.
export const hooks = {
  name: 'exec_config', label: 'Commands run in a session', kind: 'object', layout: 'column',
  hint: 'A command is a program and its arguments, not a line for a shell. Tokens such as {username} stand for values of the launch.',
  placeholder: '{"assign": {"cmd": ["/usr/local/bin/welcome", "{url}"], "timeout": "5s"}}',
  fields: [
    ['first_launch', 'First launch hook', 'Runs once, when a session is healthy for the first time and has no user yet.'],
    ['assign', 'Assign hook', 'Runs when a user gets a staged session, before the launch is answered.'],
    ['go', 'Go hook', 'Runs when a user who has a session of the image launches it with a URL.'],
  ].map(([name, label, hint]) => ({ name, label, hint, kind: 'optional', nested: true, fields: hook })),
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
