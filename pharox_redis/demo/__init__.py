"""The demo: several processes scrape through leased proxies, and the bookkeeping is checked.

Everything in it is real and local: a Valkey server, forward proxies, a web server and the
workers, each in a process of its own and all of them on 127.0.0.1.

* ``proxies`` - the forward proxies, and the list file that describes them
* ``target`` - the web server that is scraped
* ``worker`` - a process that leases proxies and fetches pages through them
* ``records`` - what workers and proxies write down while they run
* ``children`` - starting and ending the processes
* ``report`` - the checks that decide the exit code
* ``summary`` - the printed tables
* ``prepare`` - importing the list and checking the proxies' health
* ``crash`` - the killed worker, and the proof that nothing of its is lost
* ``run`` - the order of events, and the one function to call
"""
