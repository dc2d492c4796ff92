"""The command line, ``pharox-redis``; it needs the extra ``cli`` (typer and rich).

Exit codes: 0 done, 1 the server or the storage failed, 2 the command was used wrongly, 3 an import
found nothing it could read. What a command is asked for goes to stdout; progress, warnings and
errors go to stderr. No output shows a password.

* ``app`` - the entry point, importable without the extra
* ``commands`` - the typer application
* ``import_command``, ``export_command``, ``sync_command``, ``stats_command``, ``demo_command``,
  ``bench_command`` - one command each
* ``connection`` - the options of the server, and the storage behind them
* ``import_report``, ``sync_report`` - what imports and syncs print
* ``list_options`` - how a list is read: the options that import and sync share
* ``files``, ``progress`` - files that are replaced whole; the bar of long work
* ``output`` - consoles, masking, and texts that several commands print
"""
