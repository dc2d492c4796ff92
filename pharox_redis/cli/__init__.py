"""The command line, ``pharox-redis``; it needs the extra ``cli`` (typer, rich, durationpy).

What a command is asked for goes to stdout; progress, questions, warnings and errors go to stderr.
No output shows a password unless it was asked to, and none steers a terminal. How a command ends is
in `exits`.

What holds for all commands, each in one place:

* ``app`` - the entry point, importable without the extra
* ``commands`` - the typer application: which commands there are
* ``manners`` - how commands end: Ctrl-C, broken pipes, full disks, mistakes in the command line
* ``connection`` - the options of the server, the storage behind them, and what goes wrong with it
* ``options``, ``exits`` - options that many commands have; exit codes
* ``naming``, ``completion`` - what a command line names: pools, consumers, ids
* ``finding`` - reading what may be long, page by page
* ``list_options`` - how a list is read: the options that import and sync share
* ``files`` - files that are replaced whole
* ``output``, ``listing``, ``shapes``, ``progress`` - consoles and masking; tables, lines and JSON
* ``columns`` - which columns of a table a terminal has room for
* ``durations`` - lengths of time: ``1s``, ``500ms``

And the commands: ``pool_commands``, ``proxy_commands`` with ``proxy_add_command``,
``lease_commands`` with ``lease_release_command``, ``top_command`` with the package ``top``, and a
module for each of the others.
"""
