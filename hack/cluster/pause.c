/* Holds a pod's namespaces: sleeps, reaps what loses its parent, and ends at once when told to. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void reap(int number) {
    (void)number;
    while (waitpid(-1, 0, WNOHANG) > 0) {
    }
}

static void leave(int number) {
    (void)number;
    _exit(0);
}

int main(void) {
    struct sigaction reaping = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP | SA_RESTART};
    struct sigaction leaving = {.sa_handler = leave};
    if (sigaction(SIGCHLD, &reaping, 0) || sigaction(SIGTERM, &leaving, 0) || sigaction(SIGINT, &leaving, 0)) {
        return 1;
    }
    for (;;) {
        pause();
    }
}
