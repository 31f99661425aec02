"""What an operator or a developer runs: `scripts/<name>` is the command, `scripts.<name>` its code.

In: command lines and the environment. Out: processes started, stopped or asked, and exit codes.
Must stay true: nothing in here is imported by gateway, workers, db or contracts.
"""
