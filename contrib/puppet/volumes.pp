# Puppet: volumes of ferryfs are where they should be. `puppet apply --noop volumes.pp` says what it would do.
#
# The exec runs only where migrate/target, which at rest is the volume's host, is another. It begins the move, waits
# until the job has ended, and fails with the reason of ferryfs if it was refused or has not succeeded.

define ferryfs_volume(String $host, String $mount = '/run/ferryfs', Integer $timeout = 0) {
  exec { "ferryfs: ${name} on ${host}":
    path        => '/usr/bin:/bin',
    environment => ["MIGRATE=${mount}/${name}/migrate", "WANTED=${host}"],
    provider    => shell,
    command     => 'echo "$WANTED" > "$MIGRATE/target" && test "$(cat "$MIGRATE/wait")" = success ||
      { cat "$MIGRATE/message" "$MIGRATE/error"; false; }',
    unless      => 'test "$(cat "$MIGRATE/target")" = "$WANTED"',
    timeout     => $timeout, # 0: as long as it takes
    logoutput   => on_failure,
  }
}

ferryfs_volume { 'db1': host => 'hdd' }
