/* echod tcp|udp PORT - in the test images: tells each peer the address it is seen with, then returns what it sends. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void talk(int fd, const struct sockaddr_in *peer)
{
	char text[65536], address[INET_ADDRSTRLEN];
	ssize_t n;

	inet_ntop(AF_INET, &peer->sin_addr, address, sizeof address);
	dprintf(fd, "%s\n", address);
	while ((n = read(fd, text, sizeof text)) > 0)
		if (write(fd, text, (size_t)n) != n)
			return;
}

int main(int argc, char **argv)
{
	struct sockaddr_in self = { .sin_family = AF_INET }, peer;
	socklen_t size = sizeof peer;
	char text[65536];
	int is_udp, s, one = 1;

	if (argc != 3)
		return 2;
	is_udp = strcmp(argv[1], "udp") == 0;
	self.sin_port = htons((unsigned short)atoi(argv[2]));
	s = socket(AF_INET, is_udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(s, (struct sockaddr *)&self, sizeof self) < 0 || (!is_udp && listen(s, 64) < 0)) {
		perror("echod");
		return 1;
	}
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		size = sizeof peer;
		if (is_udp) {
			ssize_t n = recvfrom(s, text, sizeof text, 0, (struct sockaddr *)&peer, &size);

			if (n >= 0)
				(void)sendto(s, text, (size_t)n, 0, (struct sockaddr *)&peer, size);
			continue;
		}
		int fd = accept(s, (struct sockaddr *)&peer, &size);

		if (fd < 0)
			continue;
		if (fork() == 0) {
			talk(fd, &peer);
			_exit(0);
		}
		close(fd);
	}
}
