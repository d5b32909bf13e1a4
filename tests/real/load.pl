# Hashes, arrays, strings, regular expressions, sorting; then perl's own rendering of manual pages.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use Storable qw(dclone freeze thaw);
use Pod::Text;

my %words;
for my $i (1 .. 150_000) {
  my $key = sprintf "%x", ($i * 2654435761) & 0xfffff;
  $words{$key}{count}++;
  push @{$words{$key}{at}}, $i;
}
my @list = map {"$_=@{$words{$_}{at}}"} sort keys %words;
print "words ", scalar(@list), " ", md5_hex(join ",", @list), "\n";
my $copy = dclone(\%words);
delete @words{grep {/7/} keys %words};
print "left ", scalar(keys %words), " of ", scalar(keys %$copy), ", frozen ",
  scalar(keys %{thaw(freeze($copy))}), "\n";

my $text = join " ", map { reverse($_ * 7919) . "\n" x ($_ % 3 == 0) } 1 .. 60_000;
(my $changed = $text) =~ s/(\d)(\d)/$2$1-/g;
my @lines = split /\n/, $changed;
print "text ", length $text, " ", md5_hex($changed), " ", scalar(@lines), "\n";
my $grown = "";
$grown .= chr(33 + $_ % 90) x ($_ % 50) for 1 .. 60_000;
substr($grown, $_ * 10, 3) = "abcde" for 1 .. 1_000;
print "grown ", length $grown, " ", md5_hex($grown), "\n";

my ($all, $pages) = ("", 0);
for my $name (qw(CPAN Test/More Pod/Simple Math/BigInt Math/BigFloat File/Temp)) {
  my ($file) = grep {-e} map { ("$_/$name.pod", "$_/$name.pm") } @INC or next;
  my $out;
  my $pod = Pod::Text->new(width => 80);
  $pod->output_string(\$out);
  $pod->parse_file($file);
  $all .= $out;
  $pages++;
}
print "manual $pages pages, ", length $all, " ", md5_hex($all), "\n";
